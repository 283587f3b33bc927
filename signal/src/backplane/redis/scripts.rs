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
    make: "room.lua" "make.lua";
    look: "room.lua" "look.lua";
    join: "room.lua" "join.lua";
    change: "room.lua" "change.lua";
    leave: "room.lua" "leave.lua";
    adopt: "room.lua" "adopt.lua";
    heartbeat: "heartbeat.lua";
    reap: "reap.lua";
    bury: "bury.lua";
}
