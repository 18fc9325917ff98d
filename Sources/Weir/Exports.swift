@_exported public import WeirBase
