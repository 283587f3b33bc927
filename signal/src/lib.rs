//! A WebRTC signaling node.

