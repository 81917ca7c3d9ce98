import JSON

/// A value that fits its key.
public enum SettingValue: Sendable, Equatable {
    case integer(Int)
    case text(String)
    case list([String])
}

/// What kind of value a key takes.
public enum SettingKind: Sendable, Equatable {
    case integer(ClosedRange<Int>)
    case text
    /// A relative path in a file starts at the file's folder, elsewhere at the working folder.
    case path
    case choice([String])
    /// In the environment and in a flag, its elements are separated by commas.
    case list(Element)

    public enum Element: Sendable {
        /// A host name without a port.
        case host
        /// Scheme, host and perhaps port of a web page.
        case webOrigin
        /// The absolute path of a folder.
        case folder
    }

    /// What is allowed, in words that follow "allowed is".
    public var allowed: String {
        switch self {
        case .integer(let range): "an integer from \(range.lowerBound) to \(range.upperBound)"
        case .text: "a text of 1 to \(ConfigurationLimits.textBytes) bytes"
        case .path: "a path"
        case .choice(let words): "one of \(words.joined(separator: ", "))"
        case .list(.host): "a list of host names without ports"
        case .list(.webOrigin): "a list of origins such as https://chat.example"
        case .list(.folder): "a list of absolute paths"
        }
    }

    /// Reads what the environment or a flag says; nil if it does not fit.
    func value(text: String) -> SettingValue? {
        switch self {
        case .integer: Int(text).flatMap(value(integer:))
        case .text, .path, .choice: value(word: text)
        case .list: value(elements: text.split(separator: ",").map { $0.trimmingSpaces })
        }
    }

    /// Reads a member of the file; nil if it does not fit.
    func value(json: JSONValue, folder: String) -> SettingValue? {
        switch (self, json) {
        case (.integer, .number(let number)): return number.int64.flatMap { value(integer: Int($0)) }
        case (.text, .string(let text)), (.choice, .string(let text)): return value(word: text)
        case (.path, .string(let text)):
            return value(word: text).map { _ in .text(ConfigurationFile.resolve(text, in: folder)) }
        case (.list, .array(let elements)):
            let texts = elements.compactMap(\.stringValue)
            return texts.count == elements.count ? value(elements: texts) : nil
        default: return nil
        }
    }

    private func value(integer: Int) -> SettingValue? {
        if case .integer(let range) = self, range.contains(integer) { .integer(integer) } else { nil }
    }

    private func value(word: String) -> SettingValue? {
        if case .choice(let words) = self, !words.contains(word) { return nil }
        let isPlain = word.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        return isPlain && (1...ConfigurationLimits.textBytes).contains(word.utf8.count) ? .text(word) : nil
    }

    private func value(elements: [String]) -> SettingValue? {
        guard case .list(let element) = self, elements.count <= ConfigurationLimits.listElements,
            elements.allSatisfy(element.fits)
        else { return nil }
        return .list(elements)
    }
}

extension SettingKind.Element {
    fileprivate func fits(_ text: String) -> Bool {
        switch self {
        case .host: return Self.isHost(text, portAllowed: false)
        case .webOrigin:
            guard let scheme = ["http://", "https://"].first(where: text.hasPrefix) else { return false }
            return Self.isHost(String(text.dropFirst(scheme.count)), portAllowed: true)
        case .folder:
            return text.hasPrefix("/") && text.utf8.count <= ConfigurationLimits.textBytes
                && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        }
    }

    private static func isHost(_ text: String, portAllowed: Bool) -> Bool {
        (1...255).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"):
                    true
                case UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"): portAllowed
                default: false
                }
            }
    }
}

extension Substring {
    fileprivate var trimmingSpaces: String {
        var part = self
        while part.first == " " { part.removeFirst() }
        while part.last == " " { part.removeLast() }
        return String(part)
    }
}
