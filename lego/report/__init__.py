"""What is shown of a result: tables, records, plots."""
