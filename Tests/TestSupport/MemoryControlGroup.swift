import Foundation
import Glibc

/// A control group with a memory limit, made for the programs that a test starts.
///
/// Making one takes rights that many systems do not give: root, or a delegated group.
public final class MemoryControlGroup: Sendable {
    private let path: String
    private let isFirstVersion: Bool

    /// Whether this process may make such a group.
    public static let canBeMade = MemoryControlGroup(limit: 64 << 20) != nil

    /// Nil where no group can be made.
    public init?(limit: Int) {
        for (parent, isFirstVersion) in Self.parents() {
            let path = "\(parent)/apus-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
            guard mkdir(path, 0o755) == 0 else { continue }
            let file = isFirstVersion ? "memory.limit_in_bytes" : "memory.max"
            if Self.write(String(limit), to: "\(path)/\(file)"), Self.takesProcesses(path) {
                self.path = path
                self.isFirstVersion = isFirstVersion
                return
            }
            rmdir(path)
        }
        return nil
    }

    deinit { rmdir(path) }

    /// Groups below which one may be made: the own one, then the topmost, of both versions of control groups.
    private static func parents() -> [(path: String, isFirstVersion: Bool)] {
        var found: [(path: String, isFirstVersion: Bool)] = []
        for mount in lines("/proc/self/mounts").map({ $0.split(separator: " ").map(String.init) }) {
            guard mount.count > 3, mount[2].hasPrefix("cgroup") else { continue }
            let isFirst = mount[2] == "cgroup"
            if isFirst && !mount[3].split(separator: ",").contains("memory") { continue }
            let own = ownGroup(isFirstVersion: isFirst)
            found += [(mount[1] + (own == "/" ? "" : own), isFirst), (mount[1], isFirst)]
        }
        return found
    }

    private static func ownGroup(isFirstVersion: Bool) -> String {
        for line in lines("/proc/self/cgroup") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let controllers = fields[1].split(separator: ",")
            if isFirstVersion ? controllers.contains("memory") : controllers.isEmpty { return String(fields[2]) }
        }
        return "/"
    }

    private static func lines(_ path: String) -> [Substring] {
        ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
    }

    private static func write(_ text: String, to path: String) -> Bool {
        do {
            try text.write(toFile: path, atomically: false, encoding: .utf8)
            return true
        } catch {
            return false
        }
    }

    private static func takesProcesses(_ path: String) -> Bool {
        let probe = try? Programs.run("/bin/sh", ["-c", "echo $$ > \"$0/cgroup.procs\"", path])
        return probe?.status == 0
    }

    /// The words of a command that enters the group and becomes `command`.
    public func command(_ command: [String]) -> [String] {
        ["/bin/sh", "-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"", path] + command
    }

    /// The most memory that was ever used; nil on kernels that do not keep it.
    public var peakBytes: Int? {
        let file = isFirstVersion ? "memory.max_usage_in_bytes" : "memory.peak"
        return Self.lines("\(path)/\(file)").first.flatMap { Int($0) }
    }

    /// Processes that the kernel killed because the limit was reached.
    public var kills: Int? {
        let file = isFirstVersion ? "memory.oom_control" : "memory.events"
        return Self.lines("\(path)/\(file)").first { $0.hasPrefix("oom_kill ") }
            .flatMap { $0.split(separator: " ").last.flatMap { Int($0) } }
    }
}
