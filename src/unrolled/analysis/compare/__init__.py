"""`unrolled compare`: is a recurrent model worth it on this data, and which one?"""
