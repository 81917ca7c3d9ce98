/// Text operations with Python's meaning: by code points and not by grapheme clusters, without normalisation.
enum PythonText {
    /// What Python strips and splits at.
    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000:
            true
        default: false
        }
    }

    static func isLineBreak(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }

    static func areEqual(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
    }

    /// Code point order, which is also the order of the UTF-8 bytes.
    static func isLess(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }

    static func strip(
        _ text: String, left: Bool, right: Bool, where isStripped: (Unicode.Scalar) -> Bool = isSpace
    ) -> String {
        var rest = text.unicodeScalars[...]
        while left, let first = rest.first, isStripped(first) { rest.removeFirst() }
        while right, let last = rest.last, isStripped(last) { rest.removeLast() }
        return String(rest)
    }

    static func splitLines(_ text: String) -> [String] {
        var lines: [String] = []
        var line = String.UnicodeScalarView()
        var wasCarriageReturn = false
        var isOpen = false
        for scalar in text.unicodeScalars {
            if wasCarriageReturn, scalar == "\n" {
                wasCarriageReturn = false
                continue
            }
            wasCarriageReturn = scalar == "\r"
            if isLineBreak(scalar) {
                lines.append(String(line))
                line = String.UnicodeScalarView()
                isOpen = false
            } else {
                line.append(scalar)
                isOpen = true
            }
        }
        if isOpen { lines.append(String(line)) }
        return lines
    }

    /// Words between white space, at most `limit` cuts.
    static func splitAtSpace(_ text: String, limit: Int) -> [String] {
        var words: [String] = []
        var rest = text.unicodeScalars[...].drop(while: isSpace)
        while !rest.isEmpty {
            if words.count == limit {
                words.append(strip(String(rest), left: false, right: true))
                break
            }
            let word = rest.prefix { !isSpace($0) }
            words.append(String(word))
            rest = rest[word.endIndex...].drop(while: isSpace)
        }
        return words
    }

    static func capitalize(_ text: String) -> String {
        var scalars = text.unicodeScalars[...]
        guard let first = scalars.popFirst() else { return text }
        return first.properties.titlecaseMapping + String(scalars).lowercased()
    }

    /// Every letter after a character that is no letter becomes a capital, every other one small.
    static func title(_ text: String) -> String {
        var result = ""
        var isAfterLetter = false
        for scalar in text.unicodeScalars {
            result += isAfterLetter ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
            isAfterLetter = scalar.properties.isCased
        }
        return result
    }

    static func escapeHTML(_ text: String) -> String {
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "&"): result += Array("&amp;".utf8)
            case UInt8(ascii: "<"): result += Array("&lt;".utf8)
            case UInt8(ascii: ">"): result += Array("&gt;".utf8)
            case UInt8(ascii: "'"): result += Array("&#39;".utf8)
            case UInt8(ascii: "\""): result += Array("&#34;".utf8)
            default: result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The text without the part before `start` and from `end` on, counted in code points.
    static func slice(_ text: String, _ places: [Int]) -> String {
        let scalars = Array(text.unicodeScalars)
        var result = String.UnicodeScalarView()
        for place in places { result.append(scalars[place]) }
        return String(result)
    }
}

/// Finds a piece of text in linear time, whatever both hold (Knuth, Morris, Pratt).
struct TextSearch {
    private let needle: [UInt8]
    private let fallback: [Int]

    /// `needle` must not be empty.
    init(_ needle: [UInt8]) {
        self.needle = needle
        var fallback = [0]
        var length = 0
        for index in needle.indices.dropFirst() {
            while length > 0, needle[index] != needle[length] { length = fallback[length - 1] }
            if needle[index] == needle[length] { length += 1 }
            fallback.append(length)
        }
        self.fallback = fallback
    }

    /// Starts of the matches that do not overlap, from the left, at most `limit`.
    func matches(in text: [UInt8], limit: Int = .max) -> [Int] {
        var matches: [Int] = []
        var length = 0
        for index in text.indices where matches.count < limit {
            while length > 0, text[index] != needle[length] { length = fallback[length - 1] }
            if text[index] == needle[length] { length += 1 }
            if length == needle.count {
                matches.append(index + 1 - length)
                length = 0
            }
        }
        return matches
    }

    /// Starts of the matches that do not overlap, counted from the right, in ascending order.
    static func matchesFromRight(of needle: [UInt8], in text: [UInt8], limit: Int) -> [Int] {
        let starts = TextSearch(needle.reversed()).matches(in: text.reversed(), limit: limit)
        return starts.map { text.count - $0 - needle.count }.reversed()
    }
}
