//! What the whole-flow tests stand on: real servers, each in a process of its own that ends with the value.

pub mod chromium;
pub mod delay;
pub mod dovecot;
pub mod faulty_table;
pub mod gateway;
pub mod mail;
pub mod mortal;
pub mod moto;
pub mod oidc_provider;
pub mod postfix;
pub mod process;
pub mod receiver;
pub mod recorder;
pub mod rie;
pub mod rights;
pub mod stack;
pub mod stream;
pub mod world;
