import CPlatform
import Glibc

/// Who was at the other end of a Unix socket when it was connected, as the kernel knows it.
public struct PeerCredentials: Sendable, Equatable {
    public let processID: Int32
    public let userID: UInt32
    /// Its own group first, then those that it is in besides.
    public let groupIDs: [UInt32]

    public init(of socket: Int32) throws(SystemError) {
        var process: Int32 = 0
        var user: UInt32 = 0
        var groups = [UInt32](repeating: 0, count: PlatformLimits.peerGroups)
        let count = try checked(
            apus_peer_credentials(socket, &process, &user, &groups, Int32(groups.count)), "ask who connected")
        (processID, userID, groupIDs) = (process, user, Array(groups[..<Int(count)]))
    }

    /// Whether it is a process of the user's, or of root's.
    public func isUser(_ userID: UInt32) -> Bool { self.userID == userID || self.userID == 0 }

    /// Whether it is a process of the user that this process runs as, or of root's.
    public var isOwnUser: Bool { isUser(geteuid()) }

    /// Whether it is in the group; in one that does not exist nobody is.
    public func isMember(ofGroup name: String) -> Bool {
        var number: UInt32 = 0
        return apus_group_number(name, &number) == 0 && groupIDs.contains(number)
    }
}
