public import Foundation

/// Reads goldens that lie beside the tests.
public enum Goldens {
    /// The bytes of `Tests/<path>`.
    public static func bytes(_ path: String) throws -> Data {
        try Data(contentsOf: Fixtures.packageRoot.appendingPathComponent("Tests").appendingPathComponent(path))
    }

    /// The bytes that a string of hexadecimal digits stands for.
    public static func bytes(hexadecimal text: String) -> [UInt8] {
        let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
