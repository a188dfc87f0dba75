//! Tokens and users: the OAuth2 endpoints, mounted by the controller or run alone.
