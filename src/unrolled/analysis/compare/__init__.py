"""`unrolled compare`: find out whether a recurrent model is worth it on this data, and which one."""
