import CPlatform

/// Bounds of the operating-system floor.
public enum PlatformLimits {
    /// Descriptors that are handled in one turn of an event loop before timers and posted work run again.
    public static let eventsPerTurn = 256
    /// Descriptors in one message.
    public static let descriptorsPerMessage = Int(apus_descriptors_per_message)
    /// Descriptors that a child process may be given.
    public static let descriptorsPerChild = 64
    /// Groups of a process at the other end of a Unix socket, its own among them.
    ///
    /// One that is in more is in none but its own.
    public static let peerGroups = 1025
    /// Bytes of a file of the kernel's (`/proc`, control groups).
    public static let kernelFileBytes = 1 << 20
    /// Stack of a thread that asks for nothing else.
    ///
    /// Pages are taken only when they are touched.
    public static let stackBytes = 1 << 20
}
