//! oauth-start
