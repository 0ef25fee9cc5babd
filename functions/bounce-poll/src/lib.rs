//! bounce-poll
