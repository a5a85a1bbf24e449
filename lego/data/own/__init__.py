"""Tables of one's own → the tables of prepared data."""
