import CPlatform
import Glibc

/// Writes down what the threads of this process are doing when it crashes, or when its supervisor asks.
///
/// It works in a process that may do nothing but write to descriptors that are open already.
public enum CrashHandler {
    /// What asks every thread for its stack.
    public static let dumpSignal = SIGUSR1

    /// Installs the handler; on the main thread, before any other is started.
    ///
    /// - Parameter descriptor: where the text goes; it stays open with the process.
    public static func install(descriptor: Int32) throws(SystemError) {
        _ = try checked(apus_crash_install(descriptor, dumpSignal), "install the crash handler")
    }
}

extension ChildProcess {
    /// Sends a signal to each thread, and wakes a process that was stopped, which could not notice it otherwise.
    ///
    /// Only before the process is reaped.
    ///
    /// - Returns: how many threads there were.
    public func signalThreads(_ number: Int32) -> Int {
        let count = Int(apus_signal_threads(processID, number))
        signal(SIGCONT)
        return max(0, count)
    }
}
