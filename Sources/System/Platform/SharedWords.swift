import CPlatform
import Glibc

/// Words of memory that two processes share.
///
/// Each word is read and written as a whole, on any thread and without any order among words. Whoever shares with a
/// process that it does not trust checks what it reads.
public final class SharedWords: Sendable {
    public let count: Int
    private let address: UInt

    /// Maps a file that `makeFile` has made, in this process or in another.
    public init(descriptor: Int32, count: Int, writable: Bool) throws(SystemError) {
        var words: UnsafeMutablePointer<UInt64>?
        let bytes = count * MemoryLayout<UInt64>.size
        _ = try checked(apus_map_shared(descriptor, bytes, writable, &words), "share \(count) words")
        address = UInt(bitPattern: words)
        self.count = count
    }

    deinit { munmap(UnsafeMutableRawPointer(bitPattern: address), count * MemoryLayout<UInt64>.size) }

    /// Memory for so many words, all zero; nobody can cut it short under the other's feet.
    public static func makeFile(name: String, count: Int) throws(SystemError) -> FileDescriptor {
        let made = apus_shared_memory_file(name, count * MemoryLayout<UInt64>.size)
        return FileDescriptor(owning: try checked(made, "memory of \(count) shared words"))
    }

    public subscript(index: Int) -> UInt64 {
        get { apus_word_load(word(index)) }
        set { apus_word_store(word(index), newValue) }
    }

    private func word(_ index: Int) -> UnsafeMutablePointer<UInt64>? {
        precondition(index >= 0 && index < count, "word \(index) of \(count)")
        return UnsafeMutablePointer<UInt64>(bitPattern: address)?.advanced(by: index)
    }
}
