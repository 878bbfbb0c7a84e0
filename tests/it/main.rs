//! The tests that see Cambio from outside: one binary, one file a subject.
#![cfg(test)]

#[cfg(feature = "dev")]
mod actor;
mod architecture;
#[cfg(feature = "dev")]
mod aws_instance;
#[cfg(feature = "dev")]
mod bound_key;
#[cfg(feature = "dev")]
#[path = "../bench/cloud.rs"]
mod cloud;
#[cfg(feature = "dev")]
mod conformance;
mod corpora;
#[cfg(feature = "dev")]
mod endpoints;
#[cfg(feature = "dev")]
mod exec;
#[cfg(feature = "dev")]
mod followers;
#[cfg(feature = "dev")]
#[path = "../bench/ground.rs"]
#[expect(dead_code, reason = "the gates measure with the rest")]
mod ground;
mod guides;
#[cfg(feature = "dev")]
mod incarnations;
#[cfg(feature = "dev")]
mod invariants;
#[cfg(feature = "dev")]
mod jobs;
#[cfg(feature = "dev")]
mod join_token;
#[cfg(feature = "dev")]
mod judges;
#[cfg(feature = "dev")]
mod kubernetes;
#[cfg(feature = "dev")]
#[path = "../bench/load.rs"]
#[expect(dead_code, reason = "the gates measure with the rest")]
mod load;
#[cfg(feature = "dev")]
mod machines;
mod manual;
#[cfg(feature = "dev")]
mod mtls;
#[cfg(feature = "dev")]
mod outside_root;
#[cfg(feature = "dev")]
mod platforms;
#[cfg(feature = "dev")]
mod presented;
#[path = "../fuzz/properties/mod.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it as a library")]
mod properties;
mod readme;
#[cfg(feature = "dev")]
mod refusals;
#[cfg(feature = "dev")]
mod replicas;
mod requirements;
#[cfg(feature = "dev")]
mod secrets;
#[cfg(feature = "dev")]
#[path = "../../src/store/postgres/tests/server.rs"]
#[expect(dead_code, reason = "the store's own tests use the rest")]
mod server;
#[cfg(feature = "dev")]
mod traced;
#[cfg(feature = "dev")]
mod walkthroughs;
#[cfg(feature = "dev")]
mod whoami;
#[cfg(feature = "dev")]
mod wire;
#[cfg(feature = "dev")]
mod world;
#[cfg(feature = "dev")]
mod x509;
