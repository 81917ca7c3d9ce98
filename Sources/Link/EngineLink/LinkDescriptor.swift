import EngineProtocol
import Glibc
public import Platform

/// A descriptor that came over a link, or waits to go over one; closed when the last owner goes away.
public final class LinkDescriptor: Sendable {
    private let descriptor: FileDescriptor

    public init(owning descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    public var rawValue: Int32 { descriptor.rawValue }

    /// A second descriptor for the same file.
    static func duplicate(of rawValue: Int32) throws(SystemError) -> LinkDescriptor {
        let copy = fcntl(rawValue, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { throw SystemError(operation: "duplicate descriptor \(rawValue)", code: errno) }
        return LinkDescriptor(owning: FileDescriptor(owning: copy))
    }

    /// Reads a payload from a memory file.
    ///
    /// It is copied, not mapped: whoever made the file could cut it short, and touching a page that is gone would end
    /// this process.
    func payload(count: Int) throws(LinkViolation) -> [UInt8] {
        guard let size = try? descriptor.fileSize(), size == UInt64(count) else {
            throw .payloadFile(expected: count)
        }
        let payload = [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
            while initialized < count {
                let read = pread(
                    descriptor.rawValue, bytes.baseAddress.map { $0 + initialized }, count - initialized,
                    off_t(initialized))
                if read < 0 && errno == EINTR { continue }
                guard read > 0 else { break }
                initialized += read
            }
        }
        guard payload.count == count else { throw .payloadFile(expected: count) }
        return payload
    }
}
