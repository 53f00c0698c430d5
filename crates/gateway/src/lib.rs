//! Users' HTTP/1.1: routes, static files, limits.
