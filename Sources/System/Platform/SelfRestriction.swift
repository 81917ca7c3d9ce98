import CPlatform
import Glibc

/// What a process takes away from itself, for good, before it works on what others made.
///
/// Threads that exist already keep what they have, so call these before the first is started.
public enum SelfRestriction {
    public enum Resource: Sendable {
        /// Bytes of a core file, which would hold what the process was working on.
        case coreBytes
        case descriptors
        /// Bytes of private writable memory, touched or not; mapped files do not count.
        case dataBytes
    }

    /// Gives up all capabilities, and the gaining of any by starting a program.
    public static func dropPrivileges() throws(SystemError) {
        _ = try checked(apus_drop_privileges(), "give up privileges")
    }

    /// Lowers a limit; one that is lower already stays.
    public static func limit(_ resource: Resource, to most: UInt64) throws(SystemError) {
        let kind =
            switch resource {
            case .coreBytes: apus_core_bytes
            case .descriptors: apus_descriptors
            case .dataBytes: apus_data_bytes
            }
        _ = try checked(apus_limit(kind, most), "limit \(resource) to \(most)")
    }

    /// Makes this process a likelier victim of the kernel when memory runs out, by so many of its 1000 points.
    public static func offerToMemoryKiller(points: Int32) throws(SystemError) {
        _ = try checked(apus_offer_to_memory_killer(points), "raise oom_score_adj")
    }

    /// What Landlock leaves to a process of the file system.
    public enum Files: Sendable {
        case none
        /// Reading everywhere, and devices with it.
        case readingAndDevices
    }

    /// Refuses this thread, and those that it starts, what the kernel's Landlock covers.
    ///
    /// - Returns: Landlock's version: from 1 on files, from 4 on TCP, from 6 on signals and abstract Unix sockets.
    public static func refuseByLandlock(leaving files: Files = .none) throws(SystemError) -> Int {
        Int(try checked(apus_landlock_refuse(files == .none), "Landlock"))
    }
}

/// Trying what a confined process may not do.
public struct ForbiddenAct: Sendable {
    public let name: String
    private let number: Int32

    /// Every act that can be tried; each is harmless where it is allowed.
    public static let all: [ForbiddenAct] = {
        var acts: [ForbiddenAct] = []
        while let name = apus_attempt_name(Int32(acts.count)) {
            acts.append(ForbiddenAct(name: String(cString: name), number: Int32(acts.count)))
        }
        return acts
    }()

    /// Tries it, with another process as the victim where one is needed.
    ///
    /// - Returns: whether it was refused. Any other failure means that the way to it is open.
    public func isRefused(victim processID: Int32) -> Bool {
        [EPERM, EACCES, ENOSYS].contains(-apus_attempt(number, processID))
    }
}
