//! A part of a large file as a body, piece by piece: reading waits for the client. A file that became shorter meanwhile is a
//! broken body, which cuts the connection, so that the client sees that something is missing.

use std::io::{self, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aloft_http::{Body, BodyError};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, ReadBuf};

/// How much is read at once.
const PIECE: usize = 64 << 10;

/// A body of `length` bytes of the file from `first` on.
pub(crate) fn body(mut file: std::fs::File, first: u64, length: u64) -> io::Result<Body> {
    file.seek(SeekFrom::Start(first))?;
    Ok(Stream {
        file: tokio::fs::File::from_std(file),
        left: length,
        piece: Vec::new(),
    }
    .boxed_unsync())
}

struct Stream {
    file: tokio::fs::File,
    left: u64,
    piece: Vec<u8>,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        this.piece
            .resize(usize::try_from(this.left).unwrap_or(PIECE).min(PIECE), 0);
        let mut piece = ReadBuf::new(&mut this.piece);
        let read = ready!(Pin::new(&mut this.file).poll_read(cx, &mut piece));
        let count = piece.filled().len();
        let read = read.and_then(|()| match count {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter",
            )),
            count => Ok(count),
        });
        Poll::Ready(Some(match read {
            Ok(count) => {
                let mut piece = std::mem::take(&mut this.piece);
                piece.truncate(count);
                this.left -= count as u64;
                Ok(Frame::data(piece.into()))
            }
            Err(error) => {
                this.left = 0;
                Err(BodyError::Broken(error.into()))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
