import CPlatform
import Glibc

/// A program that this process has started and will reap.
public struct ChildProcess: Sendable {
    public let processID: Int32

    /// How a process has ended.
    public enum Exit: Sendable, Equatable {
        case status(Int32)
        case signal(Int32)
        /// Another part of this program has collected it, or has the kernel forget all children.
        case lost
    }

    /// Starts a program with exactly the given descriptors.
    ///
    /// Descriptors 0, 1 and 2 of the child are `/dev/null` unless they are given; all others are closed. No signal is
    /// blocked or ignored there, and it leads a process group of its own, so that Ctrl-C at the terminal reaches only
    /// the caller.
    public static func spawn(
        executable: String, arguments: [String], environment: [String],
        descriptors: [(parent: Int32, child: Int32)], ownGroup: Bool = true
    ) throws(SystemError) -> ChildProcess {
        let operation = "start \(executable)"
        guard descriptors.count <= PlatformLimits.descriptorsPerChild else {
            throw SystemError(operation: "\(operation) with \(descriptors.count) descriptors", code: EINVAL)
        }
        for text in [executable] + arguments + environment { try refuseZeroByte(in: text, operation) }
        var argumentPointers = arguments.map { strdup($0) }
        var environmentPointers = environment.map { strdup($0) }
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        argumentPointers.append(nil)
        environmentPointers.append(nil)
        let made = apus_spawn(
            executable, argumentPointers, environmentPointers, descriptors.map(\.parent), descriptors.map(\.child),
            Int32(descriptors.count), ownGroup)
        return ChildProcess(processID: try checked(made, operation))
    }

    /// A descriptor that becomes readable when the process has ended.
    public func openPidDescriptor() throws(SystemError) -> FileDescriptor {
        FileDescriptor(owning: try checked(apus_pid_open(processID), "watch process \(processID)"))
    }

    /// Sends a signal.
    ///
    /// Only before the process is reaped: afterwards its number may belong to another one.
    public func signal(_ number: Int32) { kill(processID, number) }

    /// Collects the end of the process without waiting; nil while it runs.
    public func reap() throws(SystemError) -> Exit? { try collect(blocks: false) }

    /// Waits for the end of the process.
    public func wait() throws(SystemError) -> Exit {
        guard let exit = try collect(blocks: true) else {
            throw SystemError(operation: "wait for process \(processID)", code: ECHILD)
        }
        return exit
    }

    /// Like `reap`, for a program whose other parts may wait for any child.
    public func reapOrLose() -> Exit? {
        do throws(SystemError) { return try reap() } catch { return .lost }
    }

    /// Like `wait`, for a program whose other parts may wait for any child.
    public func waitOrLose() -> Exit {
        do throws(SystemError) { return try wait() } catch { return .lost }
    }

    /// Runs a program to its end.
    ///
    /// - Parameter limit: bytes that it may write to its standard output; the rest is an error.
    public static func output(
        executable: String, arguments: [String], environment: [String] = [], limit: Int
    ) throws(SystemError) -> (exit: Exit, output: [UInt8]) {
        let pipe = try Socket.pair()
        let child = try spawn(
            executable: executable, arguments: arguments, environment: environment,
            descriptors: [(pipe.second.rawValue, StandardIO.output)])
        // Only the child's own descriptor may keep the reader waiting.
        _ = apus_close(pipe.second.release())
        do throws(SystemError) {
            let output = try StandardIO.readAll(pipe.first.rawValue, limit: limit)
            return (try child.wait(), output)
        } catch {
            child.signal(SIGKILL)
            _ = try? child.wait()
            throw error
        }
    }

    private func collect(blocks: Bool) throws(SystemError) -> Exit? {
        var code: Int32 = 0
        switch try checked(apus_wait(processID, blocks, &code), "wait for process \(processID)") {
        case 0: return nil
        case 1: return .status(code)
        default: return .signal(code)
        }
    }
}

/// Ties the life of this process to the one that started it.
public enum ParentDeath {
    /// Has the kernel kill this process when its parent ends; false if the parent is gone already.
    ///
    /// To the kernel, the parent is the thread that started this process: it must be one that lives on.
    public static func killSelfWhenParentDies(expectedParent: Int32) -> Bool {
        // The parent may die before the kernel knows what to do then: look again afterwards.
        getppid() == expectedParent && apus_kill_self_with_parent() == 0 && getppid() == expectedParent
    }
}
