//! A TCP proxy before a server, that can cut its connections or let them go on in silence.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
    time::Duration,
};

const PASSES: u8 = 0;
const SWALLOWS: u8 = 1;
const ENDED: u8 = 2;

/// The proxy; its connections end with it.
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

struct State {
    mode: AtomicU8,
    /// Bytes from the server that still pass before all is swallowed; negative is no limit.
    left: AtomicI64,
    /// Counts cuts: a connection of an earlier one ends.
    cuts: AtomicI64,
}

impl Proxy {
    /// Before the server at `port`.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let state = Arc::new(State { mode: AtomicU8::new(PASSES), left: AtomicI64::new(-1), cuts: AtomicI64::new(0) });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.mode.load(Ordering::SeqCst) == ENDED {
                    return;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let cuts = shared.cuts.load(Ordering::SeqCst);
                for (from, to, answers) in [(&client, &server, false), (&server, &client, true)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || shared.carry(&from, &to, answers, cuts));
                }
            }
        });
        Self { port: own, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing arrives, on either side, and nobody is told.
    pub fn swallow(&self) {
        self.state.mode.store(SWALLOWS, Ordering::SeqCst);
    }

    /// The same, after so many bytes from the server.
    pub fn swallow_after(&self, bytes: i64) {
        self.state.left.store(bytes, Ordering::SeqCst);
    }

    /// Everything passes again, on connections that are made from now on; those there are, are cut.
    pub fn cut(&self) {
        self.state.cuts.fetch_add(1, Ordering::SeqCst);
        self.state.left.store(-1, Ordering::SeqCst);
        self.state.mode.store(PASSES, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.mode.store(ENDED, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream, answers: bool, cuts: i64) {
        let mut buffer = vec![0; 4096];
        from.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        while self.cuts.load(Ordering::SeqCst) == cuts && self.mode.load(Ordering::SeqCst) != ENDED {
            match from.read(&mut buffer) {
                // Nor is anybody told of an end: the server ends a session that does not answer.
                Ok(0) if self.mode.load(Ordering::SeqCst) == SWALLOWS => std::thread::sleep(Duration::from_millis(50)),
                Ok(0) => break,
                Ok(_) if self.mode.load(Ordering::SeqCst) == SWALLOWS => {}
                Ok(count) => {
                    if answers && self.left.load(Ordering::SeqCst) >= 0 {
                        let left = self.left.fetch_sub(count as i64, Ordering::SeqCst);
                        if left < count as i64 {
                            self.swallowing();
                            continue;
                        }
                    }
                    if to.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(_) => break,
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn swallowing(&self) {
        self.mode.store(SWALLOWS, Ordering::SeqCst);
        self.left.store(-1, Ordering::SeqCst);
    }
}
