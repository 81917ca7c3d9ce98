import CPlatform
import Glibc

/// Reads whole files that are known to be small: settings, keys, the kernel's own files.
public enum SmallFile {
    /// The bytes of a file; `EFBIG` when there are more than `limit`.
    ///
    /// The size is found by reading, because the kernel's files claim to be empty.
    public static func read(path: String, limit: Int) throws(SystemError) -> [UInt8] {
        try refuseZeroByte(in: path, "open")
        let file = FileDescriptor(owning: try checked(apus_open_regular(path), "open \(path)"))
        return try readAll(file.rawValue, limit: limit, "read \(path)")
    }

    /// The text of one of the kernel's files, nil when it is not there or cannot be read.
    static func kernelText(_ path: String) -> String? {
        guard let bytes = try? read(path: path, limit: PlatformLimits.kernelFileBytes) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Reads to the end, waiting where the descriptor does not block by itself.
func readAll(
    _ descriptor: Int32, limit: Int, _ operation: @autoclosure () -> String
) throws(SystemError) -> [UInt8] {
    var bytes: [UInt8] = []
    var count = 0
    while true {
        // One byte more than allowed is enough to know that there are too many.
        let room = min(max(4096, count), limit - count + 1)
        if bytes.count < count + room { bytes.append(contentsOf: repeatElement(0, count: count + room - bytes.count)) }
        let got = bytes.withUnsafeMutableBytes { buffer -> Int64 in
            guard let start = buffer.baseAddress else { return 0 }
            return apus_read(descriptor, start + count, room)
        }
        if got == Int64(-EAGAIN) {
            _ = try checked(apus_wait_ready(descriptor, false), operation())
            continue
        }
        count += Int(try checked(got, operation()))
        if got == 0 { break }
        if count > limit { throw SystemError(operation: "\(operation()): over \(limit) bytes", code: EFBIG) }
    }
    bytes.removeLast(bytes.count - count)
    return bytes
}
