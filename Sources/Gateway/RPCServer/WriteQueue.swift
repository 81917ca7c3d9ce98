/// Bytes that wait for the socket.
struct WriteQueue {
    private var bytes: [UInt8] = []
    private var head = 0

    var count: Int { bytes.count - head }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ more: [UInt8]) {
        if isEmpty {
            (bytes, head) = (more, 0)
        } else {
            bytes += more
        }
    }

    /// Calls `write` with what waits and takes off what it says it wrote.
    mutating func write(_ write: (UnsafeRawBufferPointer) -> Int) {
        guard !isEmpty else { return }
        head += bytes.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[head...])) }
        if isEmpty {
            removeAll()
        } else if head > bytes.count / 2 {
            bytes.removeFirst(head)
            head = 0
        }
    }

    mutating func removeAll() { (bytes, head) = ([], 0) }
}
