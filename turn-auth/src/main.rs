//! The program of the service: flags and settings, a listener, signals, drain.

use std::process::ExitCode;

use house::program;
use turn_auth::service::Service;
use turn_auth::settings::Settings;

fn main() -> ExitCode {
    program::run(run)
}

async fn run(settings: Settings) -> Result<(), String> {
    let open = settings.development;
    let service = Service::start(settings).await.map_err(|error| error.to_string())?;
    program::say(&[
        format!("Credentials are at  {}/", program::url(service.address, service.secure)),
        format!("Metrics are at      {}/metrics", program::url(service.ops_address, false)),
        format!("Who may ask         {}", if open { "anybody (development)" } else { "whoever has a key" }),
    ]);
    program::until_told_to_stop().await;
    tokio::select! {
        () = service.drain() => {}
        () = program::until_told_to_stop() => {}
    }
    Ok(())
}
