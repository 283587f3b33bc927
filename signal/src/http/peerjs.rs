//! What PeerJS clients ask for by HTTP: an id, and who is there.

use house::http::{Answer, TEXT, answer, json};
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde::Serialize;
use uuid::Uuid;

use super::{Route, Site, refused};
use crate::dialect::peerjs;
use crate::message::PeerId;
use crate::settings::Peerjs;

/// What stands at the path itself, where no page of the node's own does: as PeerServer has it, as something may be
/// looking for it.
#[derive(Serialize)]
struct Home {
    name: &'static str,
    description: &'static str,
    website: &'static str,
}

/// The routes below `settings.path`. Under another first part than the key they say that the key is wrong; the key's own
/// stand there too, since what is literal goes before what is not.
pub(super) fn routes(settings: &Peerjs) -> Vec<(String, Route)> {
    let Peerjs { path, key, .. } = settings;
    let mut routes = Vec::new();
    for name in [key.as_str(), "{name}"] {
        routes.push((format!("{path}{name}/id"), Route::PeerjsId));
        routes.push((format!("{path}{name}/peers"), Route::PeerjsPeers));
    }
    if path != "/" {
        routes.push((path.clone(), Route::PeerjsHome));
        routes.push((path.trim_end_matches('/').to_owned(), Route::PeerjsHome));
    }
    routes
}

/// The answer, for pages of `origin`, as PeerServer has it: whoever may read it is named.
pub(super) fn reflect(mut answer: Answer, origin: HeaderValue) -> Answer {
    answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer
}

pub(super) fn home() -> Answer {
    let home = Home {
        name: "PeerJS Server",
        description: "A server side element to broker connections between PeerJS clients.",
        website: "https://peerjs.com/",
    };
    json(StatusCode::OK, &home)
}

impl Site {
    /// An id that nobody has; it is not kept for whoever asks.
    pub(super) fn peerjs_id(&self, key: &str) -> Answer {
        if self.is_wrong(key) {
            return invalid_key();
        }
        answer(StatusCode::OK, "text/html; charset=utf-8", Uuid::new_v4().to_string())
    }

    /// The ids of all who are connected to any node.
    pub(super) async fn peerjs_peers(&self, key: &str) -> Answer {
        if self.is_wrong(key) {
            return invalid_key();
        }
        if !self.settings.peerjs.discovery {
            return answer(StatusCode::UNAUTHORIZED, TEXT, "Unauthorized");
        }
        match self.router.backplane().peers(peerjs::NAME).await {
            Ok(peers) => json(StatusCode::OK, &peers.iter().map(PeerId::as_str).collect::<Vec<_>>()),
            Err(why) => refused(why),
        }
    }

    /// Where the path names a key, whether it is another one than ours.
    fn is_wrong(&self, key: &str) -> bool {
        !key.is_empty() && key != self.settings.peerjs.key
    }
}

fn invalid_key() -> Answer {
    answer(StatusCode::UNAUTHORIZED, TEXT, "Invalid key provided")
}
