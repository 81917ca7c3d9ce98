/// A value of a template: Python's, as Jinja sees it.
///
/// Lists and maps never change once they are made.
enum Value {
    /// What a missing name or member gives: prints nothing, iterates over nothing, and cannot be used further.
    case undefined(String)
    case none
    case boolean(Bool)
    case integer(Int)
    /// Decimal digits of an integer outside 64 bits: it can be printed and compared, not calculated with.
    case bigInteger(String)
    case float(Double)
    case string(String)
    /// Text that `safe` or `escape` marked: adding other text to it escapes that text's HTML characters.
    case markup(String)
    case list(ValueList)
    case tuple(ValueList)
    /// The keys, values or items of a map: iterable and counted, without subscripts.
    case view(ValueList, of: String)
    /// The result of a filter that Python evaluates lazily: can be read once and is always true.
    case iterator(ValueIterator)
    case map(ValueMap)
    case namespace(Namespace)
    case loop(LoopState)
    case macro(Macro)
    case function(NativeFunction)

    /// The text, if this is text of either kind.
    var text: String? {
        switch self {
        case .string(let text), .markup(let text): text
        default: nil
        }
    }

    /// Text of the same kind as this value.
    func rewrapping(_ text: String) -> Value {
        if case .markup = self { return .markup(text) }
        return .string(text)
    }

    var isUndefined: Bool {
        if case .undefined = self { return true }
        return false
    }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .boolean(let value): value
        case .integer(let value): value != 0
        case .float(let value): value != 0
        case .string(let text), .markup(let text): !text.isEmpty
        case .list(let items), .tuple(let items), .view(let items, _): !items.elements.isEmpty
        case .map(let map): !map.entries.isEmpty
        case .bigInteger, .iterator, .namespace, .loop, .macro, .function: true
        }
    }

    /// Python's name of the type, for error messages.
    var typeName: String {
        switch self {
        case .undefined: "undefined"
        case .none: "None"
        case .boolean: "bool"
        case .integer, .bigInteger: "int"
        case .float: "float"
        case .string, .markup: "str"
        case .list: "list"
        case .tuple: "tuple"
        case .view: "view"
        case .iterator: "generator"
        case .map: "dict"
        case .namespace: "namespace"
        case .loop: "loop"
        case .macro: "macro"
        case .function: "function"
        }
    }

    /// How deep lists and maps nest in this value; nil for what may not be put into a container.
    var depth: Int? {
        switch self {
        case .list(let items), .tuple(let items), .view(let items, _): items.depth
        case .iterator(let iterator): iterator.depth
        case .map(let map): map.depth
        case .namespace, .loop: nil
        default: 0
        }
    }
}

/// The elements of a list, a tuple or a view.
final class ValueList {
    let elements: [Value]
    let depth: Int

    /// `depth` comes from `Budget.containerDepth`.
    init(_ elements: [Value], depth: Int) {
        self.elements = elements
        self.depth = depth
    }
}

/// Elements that can be read once.
final class ValueIterator {
    private var remaining: ArraySlice<Value>
    let depth: Int

    init(_ elements: [Value], depth: Int) {
        remaining = elements[...]
        self.depth = depth
    }

    func take() -> [Value] {
        defer { remaining = [] }
        return Array(remaining)
    }

    func next() -> Value? { remaining.popFirst() }
}

/// A map that keeps the order of its members.
final class ValueMap {
    typealias Entry = (key: Value, value: Value)

    let entries: [Entry]
    let depth: Int
    private let index: [MapKey: Int]

    /// A later entry replaces the value of an earlier one with the same key, in the earlier one's place.
    init(_ entries: [Entry], depth: Int) {
        var kept: [Entry] = []
        var index: [MapKey: Int] = [:]
        for entry in entries {
            guard let key = MapKey(entry.key) else { continue }
            if let place = index[key] {
                kept[place].value = entry.value
            } else {
                index[key] = kept.count
                kept.append(entry)
            }
        }
        self.entries = kept
        self.index = index
        self.depth = depth
    }

    subscript(key: Value) -> Value? {
        MapKey(key).flatMap { index[$0] }.map { entries[$0].value }
    }

    subscript(key: String) -> Value? {
        index[.text(Array(key.utf8))].map { entries[$0].value }
    }
}

/// A key as Python compares it: text by code points, and 1, 1.0 and True as one key.
enum MapKey: Hashable {
    case none
    case number(Double)
    case digits(String)
    case text([UInt8])
    case tuple([MapKey])

    /// Nil for a value that cannot be a key.
    init?(_ value: Value) {
        switch value {
        case .none: self = .none
        case .boolean(let value): self = .number(value ? 1 : 0)
        case .integer(let value):
            self = Double(exactly: value).map { .number($0) } ?? .digits(String(value))
        case .bigInteger(let digits): self = .digits(digits)
        case .float(let value): self = .number(value)
        case .string(let text), .markup(let text): self = .text(Array(text.utf8))
        case .tuple(let items):
            var keys: [MapKey] = []
            for item in items.elements {
                guard let key = MapKey(item) else { return nil }
                keys.append(key)
            }
            self = .tuple(keys)
        default: return nil
        }
    }
}

/// The one thing that a template can change: `namespace(a=1)`, then `set ns.a = 2`.
final class Namespace {
    var attributes: [String: Value] = [:]
}

/// A function of this interpreter, or a method bound to its value.
final class NativeFunction {
    typealias Body = (Interpreter, Arguments) throws(TemplateError) -> Value

    let name: String
    let body: Body

    init(_ name: String, _ body: @escaping Body) {
        self.name = name
        self.body = body
    }
}

/// A macro and the scope in which it was defined.
final class Macro {
    let definition: Statement.MacroDefinition
    let scope: Scope
    let caller: Value?

    init(_ definition: Statement.MacroDefinition, scope: Scope, caller: Value? = nil) {
        self.definition = definition
        self.scope = scope
        self.caller = caller
    }
}

/// The `loop` variable.
final class LoopState {
    let items: [Value]
    let outer: LoopState?
    var index = 0
    var lastChanged: [Value]?

    init(items: [Value], outer: LoopState?) {
        self.items = items
        self.outer = outer
    }
}

/// Names and their values in a block; what is not here is looked up outside.
final class Scope {
    let outer: Scope?
    private var values: [String: Value] = [:]

    init(outer: Scope?) { self.outer = outer }

    subscript(name: String) -> Value? {
        get {
            var scope: Scope? = self
            while let current = scope {
                if let value = current.values[name] { return value }
                scope = current.outer
            }
            return nil
        }
        set { values[name] = newValue }
    }

    func removeAll() { values = [:] }
}

/// The evaluated arguments of a call, a filter or a test.
struct Arguments {
    var positional: [Value] = []
    var keywords: [(name: String, value: Value)] = []

    /// The argument at a place, given there or by its name.
    subscript(index: Int, name: String) -> Value? {
        index < positional.count ? positional[index] : self[name]
    }

    subscript(name: String) -> Value? {
        keywords.first { $0.name == name }?.value
    }

    func dropFirst() -> Arguments {
        Arguments(positional: Array(positional.dropFirst()), keywords: keywords)
    }
}
