//! Lines to standard output or standard error that nobody has to wait for.
//!
//! A pipe that nobody reads blocks whoever writes to it, and a platform must not stand still because its terminal does. So a
//! thread of its own writes, and what it cannot keep up with is dropped and counted: the count is written as soon as
//! writing is possible again. Tokio's standard output was rejected: it, too, makes the one that writes wait.
//!
//! The queue holds 1 MiB, which is some thousand lines; as much again may be under way. When it is full the newest lines are
//! dropped, so that what is shown has one gap and not many. What must not be lost to a function that prints without end has
//! another 1 MiB: it comes after the gap.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that wait to be written.
const QUEUE_BYTES: usize = 1 << 20;
/// Bytes that wait to be written after a gap.
const AFTER_BYTES: usize = 1 << 20;
/// How long the end waits for what is left. Longer would keep Ctrl-C waiting for a pipe that nobody reads.
const LAST: Duration = Duration::from_secs(1);

/// Where lines are left. Cheap to clone; clones are the same outlet.
#[derive(Clone)]
pub(crate) struct Outlet(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Told when there is something to write, and when all is written.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: String,
    /// Lines that found the queue full.
    dropped: u64,
    /// What is written once the gap is told.
    after: String,
    is_writing: bool,
    /// Whoever read is gone for good.
    is_gone: bool,
}

impl Outlet {
    /// An outlet that writes to `stream`, and says with `gap` how many lines were dropped.
    pub(crate) fn start(
        name: &str,
        stream: impl Write + Send + 'static,
        gap: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let outlet = Self(Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        }));
        let shared = outlet.0.clone();
        // Detached on purpose: nothing can wake a thread that is blocked in a write, and the process's end ends it.
        std::thread::Builder::new()
            .name(format!("write to {name}"))
            .spawn(move || write(&shared, stream, &gap))?;
        Ok(outlet)
    }

    /// Leaves whole lines, each with its end.
    pub(crate) fn put(&self, lines: &str) {
        self.put_or(lines, "");
    }

    /// Leaves whole lines. If they do not fit, at least `vital`, which are some of them.
    pub(crate) fn put_or(&self, lines: &str, vital: &str) {
        let mut state = self.0.lock();
        if state.is_gone {
            return;
        }
        // After a gap nothing may be kept before the gap is told, or lines would stand in a wrong order.
        if state.dropped == 0 && state.after.is_empty() && state.queue.len() + lines.len() <= QUEUE_BYTES {
            state.queue.push_str(lines);
            self.0.changed.notify_all();
            return;
        }
        state.dropped += lines.lines().count() as u64;
        if state.after.len() + vital.len() <= AFTER_BYTES {
            state.after.push_str(vital);
            state.dropped -= vital.lines().count() as u64;
        }
    }

    /// Counts lines that were lost before they came here.
    pub(crate) fn lost(&self, lines: u64) {
        self.0.lock().dropped += lines;
        self.0.changed.notify_all();
    }

    /// Waits until all is written, a moment at most.
    pub(crate) fn finish(&self) {
        let state = self.0.lock();
        let is_busy = |state: &mut State| state.has_work() || state.is_writing;
        // Past the bound the rest is given up.
        drop(self.0.changed.wait_timeout_while(state, LAST, is_busy));
    }
}

/// For what writes its messages itself, each in one call.
impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.is_gone && (!self.queue.is_empty() || self.dropped > 0 || !self.after.is_empty())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(shared: &Shared, mut stream: impl Write, gap: &impl Fn(u64) -> String) {
    let mut state = shared.lock();
    loop {
        state = shared
            .changed
            .wait_while(state, |state| !state.has_work())
            .unwrap_or_else(PoisonError::into_inner);
        let mut text = std::mem::take(&mut state.queue);
        let dropped = std::mem::take(&mut state.dropped);
        let after = std::mem::take(&mut state.after);
        state.is_writing = true;
        drop(state);
        if dropped > 0 {
            text.push_str(&gap(dropped));
            text.push('\n');
        }
        text.push_str(&after);
        let written = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
        state = shared.lock();
        state.is_writing = false;
        if written.is_err() {
            // The platform goes on without whoever read.
            state.is_gone = true;
            state.queue = String::new();
            state.after = String::new();
        }
        shared.changed.notify_all();
        if state.is_gone {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A pipe whose other end decides when a write goes on. It tells first that a write has begun.
    struct Pipe {
        began: SyncSender<()>,
        go: Receiver<()>,
        text: Arc<Mutex<String>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.began.send(()).unwrap();
            self.go.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.text
                .lock()
                .unwrap()
                .push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Reader {
        outlet: Outlet,
        began: Receiver<()>,
        go: SyncSender<()>,
        text: Arc<Mutex<String>>,
    }

    fn outlet() -> Reader {
        let (began_here, began) = sync_channel(100);
        let (go, go_there) = sync_channel(100);
        let text: Arc<Mutex<String>> = Arc::default();
        let pipe = Pipe {
            began: began_here,
            go: go_there,
            text: text.clone(),
        };
        let outlet = Outlet::start("a test", pipe, |lines| format!("{lines} dropped")).unwrap();
        Reader {
            outlet,
            began,
            go,
            text,
        }
    }

    #[test]
    fn lines_are_written_in_their_order() {
        let reader = outlet();
        for _ in 0..3 {
            reader.go.send(()).unwrap();
        }
        reader.outlet.put("one\n");
        reader.outlet.put("two\nthree\n");
        reader.outlet.finish();
        assert_eq!(*reader.text.lock().unwrap(), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_reader_who_does_not_read_holds_nobody_up_and_is_told_what_is_missing() {
        let reader = outlet();
        reader.outlet.put("first\n");
        reader.began.recv().unwrap();
        // The writer is stuck in a write from here on.
        let line = format!("{}\n", "x".repeat(1_023));
        for _ in 0..1_024 {
            reader.outlet.put(&line);
        }
        reader.outlet.put("a\nb\n");
        reader.outlet.lost(40);
        reader.outlet.put_or("c\nd\n", "d\n");
        reader.outlet.put_or("e\n", &"e".repeat(AFTER_BYTES));
        assert!(reader.outlet.0.lock().queue.len() <= QUEUE_BYTES);
        for _ in 0..3 {
            reader.go.send(()).unwrap();
        }
        reader.outlet.finish();
        reader.outlet.put("later\n");
        reader.outlet.finish();
        let text = reader.text.lock().unwrap().clone();
        let tail: Vec<&str> = text.lines().skip(1 + 1_024).collect();
        assert_eq!(tail, ["44 dropped", "d", "later"]);
        assert!(text.starts_with("first\nxxx"));
    }

    #[test]
    fn a_stuck_reader_keeps_the_end_waiting_for_a_moment_only() {
        let reader = outlet();
        reader.outlet.put("first\n");
        reader.began.recv().unwrap();
        reader.outlet.finish();
        assert!(reader.outlet.0.lock().is_writing);
    }

    #[test]
    fn after_the_reader_is_gone_nothing_is_kept() {
        let reader = outlet();
        reader.outlet.put("first\n");
        reader.began.recv().unwrap();
        drop(reader.go);
        reader.outlet.finish();
        reader.outlet.put("second\n");
        let state = reader.outlet.0.lock();
        assert!(state.is_gone && state.queue.is_empty());
    }
}
