//! The broker alone, for measuring it: `broker DIR HOST:PORT [KEY=VALUE ...]`. Runs until its standard input ends.

#![expect(clippy::print_stdout, reason = "a program that talks to whoever measures it")]

use std::collections::BTreeMap;
use std::path::Path;

use levada_broker::{Broker, BrokerConfig};
use levada_env::Env;
use tokio::io::AsyncReadExt;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(address)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: broker DIR HOST:PORT [KEY=VALUE ...]");
        std::process::exit(2);
    };
    let mut keys = BTreeMap::from([("listeners".to_owned(), format!("PLAINTEXT://{address}"))]);
    keys.extend(
        arguments.filter_map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()))),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let config = BrokerConfig::from_map(Path::new(&dir), &keys).expect("a configuration");
        let started = std::time::Instant::now();
        let broker = Broker::start(Env::real(), config).await.expect("a broker");
        println!("started in {:?}", started.elapsed());
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        let requests = broker.metrics().requests;
        println!("requests {requests:?}");
        broker.shutdown().await;
    });
}
