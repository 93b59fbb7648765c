//! `endcheck-server`: serves headquarters and does its chores from the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use endcheck_server::app::{self, App};
use endcheck_server::clock::Clock;
use endcheck_server::config::{Config, Settings};

#[derive(Parser)]
#[command(name = "endcheck-server", version, about = "The headquarters of Endcheck")]
struct Cli {
    /// TOML file with the same settings as the flags.
    #[arg(long, env = "ENDCHECK_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests until stopped.
    Serve,
    /// Bring the database up to date.
    Migrate,
    /// Print the configuration, secrets masked.
    Config,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let file = cli.config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
    let config = cli.settings.over(file);
    start_logging(&config);
    match cli.command {
        Command::Serve => serve(config),
        Command::Migrate => {
            let pool = endcheck_server::db::open(&config.database_url, 1)?;
            for migration in endcheck_server::db::migrate(&mut *pool.get()?)? {
                tracing::info!(%migration, "migrated");
            }
            Ok(())
        }
        Command::Config => {
            print(&config.printed()?);
            Ok(())
        }
    }
}

fn serve(config: Config) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async move {
        let app = App::open(config, Clock::default())?;
        let (server, address) = app::listen(app)?;
        tracing::info!(%address, "listening");
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                handle.stop(true).await;
            }
        });
        server.await?;
        Ok(())
    })
}

fn start_logging(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.log_json { lines.json().init() } else { lines.init() }
}

#[expect(clippy::print_stdout, reason = "the answer to the command")]
fn print(text: &str) {
    println!("{text}");
}
