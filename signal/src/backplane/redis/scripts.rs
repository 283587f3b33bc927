//! The scripts that run inside Redis; each file there says what it guarantees.

use redis::Script;

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident: $($file:literal)+;)*) => {
        pub(super) struct Scripts {
            $($(#[$doc])* pub(super) $name: Script,)*
        }

        impl Scripts {
            pub(super) fn new() -> Self {
                Self { $($name: Script::new(concat!($(include_str!(concat!("scripts/", $file)), "\n"),+)),)* }
            }
        }
    };
}

scripts! {
    make: "room.lua" "fence.lua" "make.lua";
    look: "room.lua" "look.lua";
    look_out: "room.lua" "look_out.lua";
    join: "room.lua" "fence.lua" "join.lua";
    change: "room.lua" "fence.lua" "change.lua";
    leave: "room.lua" "fence.lua" "leave.lua";
    adopt: "room.lua" "fence.lua" "adopt.lua";
    index: "index.lua";
    heartbeat: "heartbeat.lua";
    register: "register.lua";
    reap: "reap.lua";
    bury: "bury.lua";
}
