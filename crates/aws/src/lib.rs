//! The AWS wire: SigV4 and the protocols, one module per service.
