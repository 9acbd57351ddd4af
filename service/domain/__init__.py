"""What every room knows: values, records, errors and the ports."""
