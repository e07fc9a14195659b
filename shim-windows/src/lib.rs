//! The hooks of `bindshim.dll`: detours on the calls of `ws2_32`. Empty elsewhere.
