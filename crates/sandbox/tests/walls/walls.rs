//! What a sandboxed program cannot see and cannot do.

use std::net::TcpListener;

use aloft_base::ErrorKind;
use aloft_sandbox::{Config, Listen, Mount, Reach, Spawner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Test, end_of, finish, output, python_spec, shell, spec};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("walls::a_program_runs_and_prints", |s| {
        Box::pin(a_program_runs_and_prints(s))
    }),
    ("walls::python_runs_from_its_real_prefix", |s| {
        Box::pin(python_runs_from_its_real_prefix(s))
    }),
    ("walls::nobody_and_no_capabilities", |s| {
        Box::pin(nobody_and_no_capabilities(s))
    }),
    ("walls::files_of_the_host_are_not_there", |s| {
        Box::pin(files_of_the_host_are_not_there(s))
    }),
    ("walls::nothing_can_be_written_but_scratch", |s| {
        Box::pin(nothing_can_be_written_but_scratch(s))
    }),
    ("walls::scratch_is_private_and_bounded", |s| {
        Box::pin(scratch_is_private_and_bounded(s))
    }),
    ("walls::no_way_out_by_network", |s| {
        Box::pin(no_way_out_by_network(s))
    }),
    ("walls::listeners_answer_inside", |s| {
        Box::pin(listeners_answer_inside(s))
    }),
    ("walls::input_is_what_the_platform_writes", |s| {
        Box::pin(input_is_what_the_platform_writes(s))
    }),
    ("walls::sockets_reach_what_listens_inside", |s| {
        Box::pin(sockets_reach_what_listens_inside(s))
    }),
    ("walls::what_goes_out_arrives_at_the_gate", |s| {
        Box::pin(what_goes_out_arrives_at_the_gate(s))
    }),
    ("walls::dangerous_calls_are_denied", |s| {
        Box::pin(dangerous_calls_are_denied(s))
    }),
    ("walls::only_own_processes_are_seen", |s| {
        Box::pin(only_own_processes_are_seen(s))
    }),
    ("walls::no_descriptor_and_no_variable_leaks", |s| {
        Box::pin(no_descriptor_and_no_variable_leaks(s))
    }),
    ("walls::folders_of_a_closed_home_can_be_mounted", |s| {
        Box::pin(folders_of_a_closed_home_can_be_mounted(s))
    }),
    ("walls::what_cannot_run_is_named", |s| {
        Box::pin(what_cannot_run_is_named(s))
    }),
    ("walls::the_host_keeps_no_mount", |s| {
        Box::pin(the_host_keeps_no_mount(s))
    }),
    ("walls::the_doctor_finds_every_wall", |s| {
        Box::pin(the_doctor_finds_every_wall(s))
    }),
];

async fn a_program_runs_and_prints(spawner: Spawner) {
    let mut spec = shell("echo out; echo err >&2; echo \"$GREETING\"; pwd; exit 3");
    spec.environment.push(("GREETING".into(), "grüß dich".into()));
    spec.directory = "/tmp".into();
    let finished = finish(&spawner, &spec).await.unwrap();
    assert_eq!(finished.out, "out\ngrüß dich\n/tmp\n");
    assert_eq!(finished.err, "err\n");
    assert_eq!(
        (finished.exit.status, finished.exit.signal, finished.exit.oom),
        (Some(3), None, false)
    );
    assert!(finished.exit.memory_peak.bytes() > 0);
}

async fn python_runs_from_its_real_prefix(spawner: Spawner) {
    let script = "import json, ssl, socket, ctypes, multiprocessing, tempfile, hashlib\n\
                  l = multiprocessing.Lock()\n\
                  print(json.dumps([socket.gethostname(), tempfile.gettempdir()]))";
    let finished = finish(&spawner, &python_spec(script)).await.unwrap();
    assert_eq!(finished.out, "[\"sandbox\", \"/tmp\"]\n", "{}", finished.err);
}

async fn nobody_and_no_capabilities(spawner: Spawner) {
    let status = output(
        &spawner,
        "id -u; id -g; id -un; cat /proc/self/status; cat /proc/self/uid_map; cat /proc/self/cgroup",
    )
    .await;
    assert!(status.starts_with("1000\n1000\nsandbox\n"), "{status}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(
            status.contains(&format!("{set}:\t0000000000000000\n")),
            "{set} in {status}"
        );
    }
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    assert!(status.contains("Seccomp:\t2\n"), "{status}");
    for line in status
        .lines()
        .skip_while(|line| !line.starts_with("0::") && !line.contains(":memory:"))
    {
        assert!(
            line.ends_with(":/"),
            "the place in the host's cgroups is seen: {line}"
        );
    }
    let own = std::fs::read_link("/proc/self/ns/user").unwrap();
    for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let inside = output(&spawner, &format!("readlink /proc/self/ns/{kind}")).await;
        let outside = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(inside, outside.to_str().unwrap(), "{own:?}");
    }
}

async fn files_of_the_host_are_not_there(spawner: Spawner) {
    let listing = output(
        &spawner,
        "ls -a / ; ls -a /root /home /work /var /etc/shadow /sys /run 2>&1 || true",
    )
    .await;
    for name in ["root", "home", "work", "var", "sys", "run", "mnt", "boot"] {
        assert!(!listing.lines().any(|line| line == name), "{name} in {listing}");
    }
    assert!(listing.contains("/etc/shadow"), "{listing}");
    let devices = output(&spawner, "ls /dev").await;
    assert_eq!(
        devices.split_whitespace().collect::<Vec<_>>(),
        [
            "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"
        ]
    );
    assert_eq!(
        output(
            &spawner,
            "cat /proc/cmdline /proc/modules /proc/kallsyms /proc/keys; ls /proc/irq"
        )
        .await,
        ""
    );
    output(
        &spawner,
        "echo x > /dev/null && head -c 4 /dev/urandom > /tmp/r && test -s /tmp/r",
    )
    .await;
}

async fn nothing_can_be_written_but_scratch(spawner: Spawner) {
    let code = tempfile::tempdir().unwrap();
    std::fs::write(code.path().join("handler.py"), "x = 1\n").unwrap();
    open_to_all(code.path());
    let mut spec = shell(
        "for f in /x /usr/x /etc/x /dev/x /code/x /bin/x /code/handler.py /etc/passwd /proc/sys/kernel/hostname; do
             if (echo y > $f) 2>/dev/null; then echo \"wrote $f\"; fi
         done
         chmod 777 /code 2>/dev/null && echo changed
         for d in /tmp /dev/shm; do echo ok > $d/x && cat $d/x; done
         cat handler.py",
    );
    spec.mounts.push(Mount::read_only(code.path(), "/code"));
    spec.directory = "/code".into();
    let finished = finish(&spawner, &spec).await.unwrap();
    assert_eq!(finished.out, "ok\nok\nx = 1\n", "{}", finished.err);
    assert_eq!(
        std::fs::read_to_string(code.path().join("handler.py")).unwrap(),
        "x = 1\n"
    );
}

async fn scratch_is_private_and_bounded(spawner: Spawner) {
    let marker = format!("aloft-scratch-{}", std::process::id());
    assert_eq!(
        output(&spawner, &format!("echo 1 > /tmp/{marker}; ls /tmp")).await,
        marker
    );
    assert!(!std::path::Path::new("/tmp").join(&marker).exists());
    assert_eq!(
        output(&spawner, "ls -A /tmp").await,
        "",
        "another sandbox sees it"
    );
    // 16 MiB of scratch: in one file (RLIMIT_FSIZE) and in two (the file system).
    let script = "head -c 20000000 /dev/zero > /tmp/a; head -c 9000000 /dev/zero > /tmp/b; \
                  head -c 9000000 /dev/zero > /tmp/c; du -k /tmp | tail -1 | cut -f1";
    let finished = finish(&spawner, &shell(script)).await.unwrap();
    let used: u64 = finished.out.trim().parse().unwrap();
    assert!((8_000..=16_384).contains(&used), "{used} KiB, {}", finished.err);
}

async fn no_way_out_by_network(spawner: Spawner) {
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    let script = format!(
        "import socket
for address in [('127.0.0.1', {port}), ('1.1.1.1', 53), ('10.0.0.1', 80)]:
    s = socket.socket(); s.settimeout(2)
    try: s.connect(address); print('connected', address)
    except OSError as e: print(type(e).__name__, e.errno)
print(socket.if_nameindex())
for family in (17, 40, 38):
    try: socket.socket(family, socket.SOCK_RAW); print('made', family)
    except OSError as e: print(e.errno)"
    );
    let finished = finish(&spawner, &python_spec(&script)).await.unwrap();
    let (refused, unreachable, unsupported) = (111, 101, 97);
    assert_eq!(
        finished.out,
        format!(
            "ConnectionRefusedError {refused}\nOSError {unreachable}\nOSError {unreachable}\n[(1, 'lo')]\n\
             {unsupported}\n{unsupported}\n{unsupported}\n"
        ),
        "{}",
        finished.err
    );
    outside.set_nonblocking(true).unwrap();
    assert!(outside.accept().is_err(), "something came through");
}

async fn listeners_answer_inside(spawner: Spawner) {
    // The same ports in two sandboxes at once, and taken on the host as well: they are different places.
    let _taken = TcpListener::bind("127.0.0.1:9001");
    let mut spec = python_spec(
        "import os, urllib.request
for name in ('API', 'OTHER'): print(urllib.request.urlopen(os.environ[name], timeout=10).read().decode(), os.environ[name])",
    );
    let announce = |name: &str| Some((name.into(), "http://".into()));
    spec.listen = vec![
        Listen {
            port: 9001,
            announce: announce("API"),
        },
        Listen {
            port: 4566,
            announce: announce("OTHER"),
        },
    ];
    let (first, second) = tokio::join!(spawner.spawn(&spec), spawner.spawn(&spec));
    for (started, name) in [(first.unwrap(), "first"), (second.unwrap(), "second")] {
        let mut started = started;
        let listeners = std::mem::take(&mut started.listeners);
        assert_eq!(listeners.len(), 2);
        let serve = async {
            for listener in listeners {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let port = listener.local_addr().unwrap().port();
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await.unwrap();
                let body = format!("{name} {port}");
                let answer = format!("HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let (finished, ()) = tokio::join!(end_of(started), serve);
        let expected = format!("{name} 9001 http://127.0.0.1:9001\n{name} 4566 http://127.0.0.1:4566\n");
        assert_eq!(finished.out, expected, "{}", finished.err);
    }
}

async fn input_is_what_the_platform_writes(spawner: Spawner) {
    let script = "import sys
print(len(sys.stdin.read()))";
    let finished = end_of(spawner.spawn(&python_spec(script)).await.unwrap()).await;
    assert_eq!(finished.out, "0\n", "{}", finished.err);
    let mut spec = python_spec(script);
    spec.has_input = true;
    let mut started = spawner.spawn(&spec).await.unwrap();
    let mut stdin = started.stdin.take().unwrap();
    let write = async move {
        stdin.write_all(&[b'x'; 300_000]).await.unwrap();
    };
    let (finished, ()) = tokio::join!(end_of(started), write);
    assert_eq!(finished.out, "300000\n", "{}", finished.err);
}

/// Two programs listen on one port, each in its own network, and are reached one after another over one socket each.
async fn sockets_reach_what_listens_inside(spawner: Spawner) {
    let spec = |name: &str| {
        let mut spec = python_spec(&format!(
            "import socket
listener = socket.create_server(('127.0.0.1', 8080))
print('ready', flush=True)
for number in range(3):
    connection, _ = listener.accept()
    said = connection.recv(100)
    connection.sendall(b'{name} %d ' % number + said)
    connection.close()"
        ));
        spec.sockets = 1;
        spec
    };
    let (first, second) = (spec("first"), spec("second"));
    let (first, second) = tokio::join!(spawner.spawn(&first), spawner.spawn(&second));
    for (started, name) in [(first.unwrap(), "first"), (second.unwrap(), "second")] {
        let mut started = started;
        let mut socket = started.sockets.pop().unwrap();
        assert!(started.sockets.is_empty());
        for number in 0..3 {
            let mut stream = loop {
                let stream = socket.connect(8080).unwrap();
                match aloft_sandbox::Socket::connected(&stream).await {
                    Ok(()) => break stream,
                    // It does not listen yet; the same socket tries again.
                    Err(error) => {
                        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{error}");
                        socket = aloft_sandbox::Socket::back(stream).unwrap();
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    }
                }
            };
            stream.write_all(b"hello").await.unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).await.unwrap();
            assert_eq!(said, format!("{name} {number} hello"));
            socket = aloft_sandbox::Socket::back(stream).unwrap();
        }
        let finished = end_of(started).await;
        assert_eq!(finished.out, "ready\n", "{}", finished.err);
    }
}

async fn what_goes_out_arrives_at_the_gate(spawner: Spawner) {
    let mut spec = python_spec(
        "import socket
for family, address in (socket.AF_INET, '192.0.2.7'), (socket.AF_INET6, '2001:db8::7'):
    connection = socket.socket(family)
    connection.connect((address, 443))
    connection.sendall(b'x')
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.sendto(b'a question', ('192.0.2.53', 53))
for port in 123, 443:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.7', port))
    except PermissionError:
        print('closed')",
    );
    spec.reach = Reach::Everything;
    let mut started = spawner.spawn(&spec).await.unwrap();
    let gate = started.gate.take().unwrap();
    // What it sent waits for us, and nothing that did not come is waited for.
    let finished = end_of(started).await;
    assert_eq!(finished.out, "closed\nclosed\n", "{}", finished.err);
    assert_eq!(gate.redirected.len(), 2, "IPv4 and IPv6");
    for listener in &gate.redirected {
        listener.set_nonblocking(true).unwrap();
        let (connection, _) = listener.accept().unwrap();
        let wanted: std::net::SocketAddr = match connection.local_addr().unwrap().is_ipv4() {
            true => rustix::net::sockopt::ip_original_dst(&connection).unwrap().into(),
            false => rustix::net::sockopt::ipv6_original_dst(&connection)
                .unwrap()
                .into(),
        };
        let expected = if wanted.is_ipv4() {
            "192.0.2.7:443"
        } else {
            "[2001:db8::7]:443"
        };
        assert_eq!(wanted.to_string(), expected);
    }
    gate.names.0.set_nonblocking(true).unwrap();
    let mut question = [0; 100];
    let (length, _) = gate.names.0.recv_from(&mut question).unwrap();
    assert_eq!(&question[..length], b"a question", "whomever it is asked");
}

async fn dangerous_calls_are_denied(spawner: Spawner) {
    let script = "import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    ctypes.set_errno(0)
    r = libc.syscall(*args)
    print(name, 'done' if r >= 0 else ctypes.get_errno())
call('unshare user', 272, 0x10000000)
call('mount', 165, b'none', b'/tmp', b'tmpfs', 0, 0)
call('ptrace', 101, 0, 0, 0, 0)
call('bpf', 321, 0, 0, 0)
call('keyctl', 250, 0, 0)
call('perf', 298, 0, 0, 0, 0, 0)
call('userfaultfd', 323, 1)
call('chroot', 161, b'/tmp')
call('clone user', 56, 0x10000000 | 17, 0, 0, 0, 0)
call('clone3', 435, 0, 0)
call('io_uring', 425, 1, 0)
call('x32 getpid', 0x40000000 | 39)
call('setuid', 105, 0)
call('getpid', 39)";
    const { assert!(cfg!(target_arch = "x86_64"), "the numbers above are x86_64's") };
    let finished = finish(&spawner, &python_spec(script)).await.unwrap();
    let (perm, nosys, inval) = (1, 38, 22);
    let expected = format!(
        "unshare user {perm}\nmount {perm}\nptrace {perm}\nbpf {perm}\nkeyctl {perm}\nperf {perm}\nuserfaultfd {perm}\n\
         chroot {perm}\nclone user {perm}\nclone3 {nosys}\nio_uring {nosys}\nx32 getpid {nosys}\nsetuid {inval}\ngetpid done\n"
    );
    assert_eq!(finished.out, expected, "{}", finished.err);
}

async fn only_own_processes_are_seen(spawner: Spawner) {
    let seen = output(
        &spawner,
        "ls /proc | grep -E '^[0-9]+$' | sort -n | head -2; echo $$; cat /proc/1/environ 2>&1 || true",
    )
    .await;
    let mut lines = seen.lines();
    assert_eq!(
        [lines.next(), lines.next(), lines.next()],
        [Some("1"), Some("2"), Some("2")],
        "{seen}"
    );
    assert!(seen.contains("Permission denied"), "{seen}");
    let refused = output(
        &spawner,
        "kill -9 1; kill -STOP 1; for f in exe root cwd fd mem maps; do ls -l /proc/1/$f/ 2>&1; cat /proc/1/$f 2>&1; done; true",
    )
    .await;
    assert!(
        refused.lines().all(|line| line.contains("ermission denied")
            || line.contains("ot permitted")
            || line.contains("No such file")
            || line.contains("Not a directory")
            || line.starts_with("total 0")),
        "{refused}"
    );
}

async fn no_descriptor_and_no_variable_leaks(spawner: Spawner) {
    let script = "import os; print(sorted(os.listdir('/proc/self/fd'), key=int)[:4], len(os.listdir('/proc/self/fd')), dict(os.environ))";
    let finished = finish(&spawner, &python_spec(script)).await.unwrap();
    // 3 is the folder that is being listed.
    assert!(
        finished
            .out
            .starts_with("['0', '1', '2', '3'] 4 {'PATH': '/usr/bin:/bin'"),
        "{}{}",
        finished.out,
        finished.err
    );
    assert!(!finished.out.contains("CARGO"), "{}", finished.out);
}

/// As an interpreter under `/root/.pyenv`: the way there is closed to everybody but its owner.
async fn folders_of_a_closed_home_can_be_mounted(spawner: Spawner) {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let inner = home.path().join("prefix");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("file"), "found\n").unwrap();
    open_to_all(&inner);
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let mut spec = spec(&["/bin/cat", inner.join("file").to_str().unwrap()]);
    spec.mounts.push(Mount::same(&inner));
    let finished = finish(&spawner, &spec).await.unwrap();
    assert_eq!(finished.out, "found\n", "{}", finished.err);
}

async fn what_cannot_run_is_named(spawner: Spawner) {
    let check = async |spec, kind, words: &[&str]| {
        let Err(error) = finish(&spawner, &spec).await else {
            panic!("it ran")
        };
        let message = error.to_string();
        assert_eq!(error.kind(), kind, "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    check(
        spec(&["/opt/python3.99/bin/python"]),
        ErrorKind::Missing,
        &["/opt/python3.99/bin/python", "no such file"],
    )
    .await;
    check(
        spec(&["/etc/passwd"]),
        ErrorKind::Missing,
        &["/etc/passwd", "denied"],
    )
    .await;
    let mut closed = spec(&["/bin/true"]);
    closed.directory = "/nowhere".into();
    check(closed, ErrorKind::Missing, &["/nowhere", "No such file"]).await;
    let mut unmounted = spec(&["/bin/true"]);
    unmounted.mounts.push(Mount::same("/no/such/prefix"));
    check(unmounted, ErrorKind::Missing, &["/no/such/prefix"]).await;
    let mut bare = spec(&["/usr/bin/env"]);
    bare.mounts = vec![Mount::same("/usr/bin")];
    check(bare, ErrorKind::Missing, &["/usr/bin/env", "loader"]).await;
    let mut long = spec(&["/bin/true"]);
    long.environment.push(("X".into(), "y".repeat(200_000).into()));
    check(long, ErrorKind::TooLarge, &["131072"]).await;
    // And the spawner goes on.
    assert_eq!(output(&spawner, "echo still here").await, "still here");
}

async fn the_host_keeps_no_mount(spawner: Spawner) {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let started = spawner.spawn(&shell("sleep 60")).await.unwrap();
    assert_eq!(mounts(), before);
    started.sandbox.kill();
    started.sandbox.exited().await;
    assert_eq!(mounts(), before);
}

async fn the_doctor_finds_every_wall(_spawner: Spawner) {
    let walls = aloft_sandbox::doctor(&Config::default()).unwrap();
    for wall in &walls {
        println!("    {:26} {:5} {}", wall.wall, wall.ok, wall.detail);
        assert_eq!(wall.ok, wall.fix.is_none());
        // Limits by cgroup depend on who runs this.
        assert!(wall.ok || wall.wall.contains("limits"), "{wall:?}");
    }
    assert!(walls.len() >= 10);
}

fn open_to_all(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
}
