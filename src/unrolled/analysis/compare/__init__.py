"""Is a recurrent model worth it here, and which? Equal parameters, equal budget, and the sceptic's baselines."""
