# Varnish before one origin. Words between at signs are filled in by
# varnish.rs.
vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "@ORIGIN@";
    .first_byte_timeout = 60s;
}

sub vcl_recv {
    # All that is asked for here may be cached: straight to the lookup.
    return (hash);
}

sub vcl_hash {
    # There is one site.
    hash_data(req.url);
    return (lookup);
}

sub vcl_backend_response {
    set beresp.ttl = @EXPIRY@s;
    # For so long after that it is served stale while one request refreshes it.
    set beresp.grace = @GRACE@s;
    set beresp.keep = 0s;
    return (deliver);
}
