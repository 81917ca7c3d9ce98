/// Says in one sentence what a file is that is not GGUF.
///
/// People point a server at the wrong file far more often than at a damaged one: the pointer that Git left instead of the
/// model, an error page, the weights of another program.
enum FileFormatGuess {
    static func sentence(for bytes: UnsafeRawBufferPointer) -> String {
        if bytes.isEmpty { return "the file is empty" }
        if let (_, name) = signatures.first(where: { starts(bytes, with: $0.prefix) }) {
            return "the file is \(name), not a GGUF model"
        }
        if isSafetensors(bytes) { return "the file holds safetensors weights, not a GGUF model" }
        if bytes.count > 262, bytes[257..<262].elementsEqual("ustar".utf8) {
            return "the file is a tar archive, not a GGUF model"
        }
        let head = bytes.prefix(512)
        if head.allSatisfy({ $0 == 0 }) { return "the file begins with zeros: an unfinished download?" }
        if bytes.count < 4 { return "the file has only \(bytes.count) bytes" }
        if isText(head) { return describeText(head) }
        let magic = head.prefix(4).map { String(UInt16($0) | 0x100, radix: 16).dropFirst() }.joined(separator: " ")
        return "the file is not a GGUF model: it begins with the bytes \(magic) instead of 47 47 55 46"
    }

    private static let signatures: [(prefix: [UInt8], name: String)] = [
        (Array("version https://git-lfs".utf8), "a Git LFS pointer (run `git lfs pull` to get the model itself)"),
        (Array("lmgg".utf8), "a GGML file, older than GGUF (convert it)"),
        (Array("fmgg".utf8), "a GGMF file, older than GGUF (convert it)"),
        (Array("tjgg".utf8), "a GGJT file, older than GGUF (convert it)"),
        ([0x50, 0x4B, 0x03, 0x04], "a zip archive, as PyTorch writes its checkpoints"),
        ([0x50, 0x4B, 0x05, 0x06], "an empty zip archive"),
        ([0x80, 0x02], "a Python pickle, as old PyTorch checkpoints are"),
        ([0x80, 0x03], "a Python pickle"),
        ([0x80, 0x04], "a Python pickle"),
        ([0x80, 0x05], "a Python pickle"),
        ([0x89, 0x48, 0x44, 0x46], "an HDF5 file"),
        ([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59], "a NumPy array"),
        ([0x1F, 0x8B], "compressed with gzip"),
        ([0x28, 0xB5, 0x2F, 0xFD], "compressed with zstd"),
        ([0xFD, 0x37, 0x7A, 0x58, 0x5A], "compressed with xz"),
        ([0x42, 0x5A, 0x68], "compressed with bzip2"),
        ([0x37, 0x7A, 0xBC, 0xAF], "a 7-zip archive"),
        ([0x7F, 0x45, 0x4C, 0x46], "an ELF program or library"),
        (Array("SQLite format 3".utf8), "an SQLite database"),
        (Array("%PDF".utf8), "a PDF document"),
        ([0x89, 0x50, 0x4E, 0x47], "a PNG picture"),
        ([0xFF, 0xD8, 0xFF], "a JPEG picture"),
    ]

    private static func starts(_ bytes: UnsafeRawBufferPointer, with prefix: [UInt8]) -> Bool {
        bytes.count >= prefix.count && bytes.prefix(prefix.count).elementsEqual(prefix)
    }

    /// Safetensors begins with the 64-bit length of a JSON object and then that object.
    private static func isSafetensors(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= 10 else { return false }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        return length >= 2 && length <= UInt64(bytes.count - 8) && bytes[8] == UInt8(ascii: "{")
    }

    /// UTF-8 without control characters; the last character may be cut off.
    private static func isText(_ head: Slice<UnsafeRawBufferPointer>) -> Bool {
        head.allSatisfy { $0 >= 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
            && (0...3).contains { String(validating: head.dropLast($0), as: UTF8.self) != nil }
    }

    private static func describeText(_ head: Slice<UnsafeRawBufferPointer>) -> String {
        guard let first = head.first(where: { $0 > 0x20 }) else { return "the file holds only blanks" }
        switch first {
        case UInt8(ascii: "<"): return "the file is an HTML or XML page (a failed download?), not a GGUF model"
        case UInt8(ascii: "{"), UInt8(ascii: "["): return "the file is JSON text, not a GGUF model"
        default: return "the file is plain text, not a GGUF model"
        }
    }
}
