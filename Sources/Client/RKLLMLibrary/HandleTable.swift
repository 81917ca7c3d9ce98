import Synchronization

/// Which handles there are.
///
/// To a program a handle is a pointer, but it leads nowhere: one that was destroyed, or never was one, is found out.
enum HandleTable {
    private struct Entries {
        var handles: [UInt: ModelHandle] = [:]
        var last: UInt = 0
    }

    private static let entries = Mutex(Entries())

    static func add(_ handle: ModelHandle) -> UnsafeMutableRawPointer? {
        entries.withLock { entries in
            entries.last += 1
            entries.handles[entries.last] = handle
            return UnsafeMutableRawPointer(bitPattern: entries.last)
        }
    }

    static func find(_ pointer: UnsafeMutableRawPointer?) -> ModelHandle? {
        entries.withLock { $0.handles[UInt(bitPattern: pointer)] }
    }

    static func remove(_ pointer: UnsafeMutableRawPointer?) -> ModelHandle? {
        entries.withLock { $0.handles.removeValue(forKey: UInt(bitPattern: pointer)) }
    }
}
