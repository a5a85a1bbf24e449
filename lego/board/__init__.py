"""Published results, with what is needed to run each of them again and to print ours beside theirs."""
