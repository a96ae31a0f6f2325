//! Sockets: tokio's, with sendfile from a [`DiskFile`].

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::Interest;
pub use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
pub use tokio::net::{TcpListener, TcpStream};

use crate::disk::DiskFile;

/// One sendfile call moves at most this, so that a large answer leaves the runtime's thread to others now and then.
const SENDFILE_CHUNK: u64 = 512 * 1024;

/// Binds a listener (call it on a runtime) with `SO_REUSEADDR`, `SO_KEEPALIVE` and a deep backlog.
pub fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it: a peer whose machine vanished is noticed in the end.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// The first address of a host name or literal address; empty is all interfaces.
pub async fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    tokio::net::lookup_host((host, port)).await?.next().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// This machine's name, for listeners on all interfaces.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether the peer has closed its side of the connection, for as far as the system has told so far. What it sent before
/// may be unread still.
pub async fn is_read_closed(stream: &TcpStream) -> bool {
    let ready = stream.ready(Interest::READABLE);
    let now = std::future::ready(());
    tokio::select! {
        biased;
        ready = ready => ready.map_or(true, |ready| ready.is_read_closed()),
        () = now => false,
    }
}

/// Sends `len` bytes of `file` from `offset` without copying them through the process. Fails with `Unsupported` where the file has no
/// descriptor (simulation) and with `UnexpectedEof` where the file was cut meanwhile: then the peer has part of an answer and the
/// connection must be closed. Pages that are not in memory block the calling thread: have cold ranges read ahead first. `progress` grows by
/// what is sent, for those who watch over it.
pub async fn sendfile(
    stream: &TcpStream,
    file: &dyn DiskFile,
    offset: u64,
    len: u64,
    progress: &AtomicU64,
) -> io::Result<()> {
    let descriptor = file.descriptor().ok_or(io::ErrorKind::Unsupported)?;
    let (mut position, end) = (offset, offset.saturating_add(len));
    while position < end {
        let count = (end - position).min(SENDFILE_CHUNK) as usize;
        let sent = stream
            .async_io(Interest::WRITABLE, || Ok(rustix::fs::sendfile(stream, descriptor, Some(&mut position), count)?))
            .await?;
        if sent == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        progress.fetch_add(sent as u64, Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::disk::{Disk, OpenOptions, RealDisk};

    #[tokio::test]
    async fn sendfile_sends_the_range_and_notices_a_short_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk::new().open(&dir.path().join("f"), OpenOptions::CREATE).unwrap();
        let content: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
        file.write_all_at(&content, 0).unwrap();
        let listener = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = listener.local_addr().unwrap();
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            TcpStream::connect(address).await.unwrap().read_to_end(&mut got).await.unwrap();
            got
        });
        let (stream, _) = listener.accept().await.unwrap();
        let progress = AtomicU64::new(0);
        sendfile(&stream, &*file, 1000, 2_500_000, &progress).await.unwrap();
        assert_eq!(progress.load(Ordering::Relaxed), 2_500_000);
        let beyond = sendfile(&stream, &*file, 3_000_000, 1, &progress).await;
        assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        drop(stream);
        assert!(reader.await.unwrap() == content[1000..2_501_000]);
    }
}
