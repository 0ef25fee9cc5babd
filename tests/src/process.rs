//! Programs that a test starts: found among the tools, given a free port, ended with the value that started them.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running program with a log. Dropping it ends the program and all that it started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in a process group of its own, its output in the file `log`.
    ///
    /// The kernel ends it too when the *thread* that called this ends without dropping the value (a test that was
    /// killed), so call it from a thread that lives as long as the server is needed: a test's own.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut guarded = Command::new("setpriv");
        guarded.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => guarded.env(name, value),
                None => guarded.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            guarded.current_dir(dir);
        }
        guarded.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = guarded.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until somebody listens at `address`; an error when the program ends first, or after `limit`.
    pub fn wait_for_port(&mut self, address: SocketAddr, limit: Duration) -> Result<()> {
        self.wait(limit, &format!("nobody listens at {address}"), |_| {
            TcpStream::connect_timeout(&address, Duration::from_millis(250)).is_ok()
        })
    }

    /// Waits until the program has printed `words`; an error when it ends first, or after `limit`.
    pub fn wait_for_output(&mut self, words: &str, limit: Duration) -> Result<()> {
        self.wait(limit, &format!("it has not printed {words:?}"), |process| process.output().contains(words))
    }

    /// All that the program has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The program's process id, which is its process group's too.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn wait(&mut self, limit: Duration, complaint: &str, ready: impl Fn(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + limit;
        while !ready(self) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the program ended ({status}) and {complaint}; its output:\n{}", self.output());
            }
            if Instant::now() > end {
                bail!("after {limit:?} {complaint}; its output:\n{}", self.output());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn signal_group(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal_group("-TERM");
        let end = Instant::now() + Duration::from_secs(2);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.signal_group("-KILL");
        let _ = self.child.wait();
    }
}

/// A port of the loopback address that nobody listens on now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// `port` of the loopback address.
#[must_use]
pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The workspace's folder.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A program of the Python tools that `infra/setup/tools` installs, or else the one on the PATH.
#[must_use]
pub fn tool(name: &str) -> Command {
    let installed = workspace().join("target/tools/python/bin").join(name);
    Command::new(if installed.exists() { installed } else { name.into() })
}

/// A binary of this workspace, built beside the test that asks.
pub fn built(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let binary = test.parent().and_then(Path::parent).context("a test lives in target/PROFILE/deps")?.join(name);
    if !binary.exists() {
        bail!("{} is not built: run `cargo build --workspace` first", binary.display());
    }
    Ok(binary)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ends_what_it_started_and_what_that_started() {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 600 & echo child $!; wait"]);
        let mut process = Process::start(&shell, &dir.path().join("log")).unwrap();
        process.wait_for_output("child ", Duration::from_secs(5)).unwrap();
        let child = process.output().trim().rsplit(' ').next().unwrap().to_owned();
        assert!(Path::new("/proc").join(&child).exists());
        drop(process);
        // A killed orphan may stay a zombie until its new parent looks.
        let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }

    #[test]
    fn tells_what_a_program_said_before_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo no such setting >&2; exit 3"]);
        let mut process = Process::start(&shell, &dir.path().join("log")).unwrap();
        let error = process.wait_for_port(loopback(free_port().unwrap()), Duration::from_secs(5)).unwrap_err();
        assert!(error.to_string().contains("no such setting"), "{error}");
    }
}
