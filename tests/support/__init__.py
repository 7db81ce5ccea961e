"""What tests share: small models and data, the oracle, tolerances, faulty disks, paths."""
