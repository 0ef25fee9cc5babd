//! oauth-callback
