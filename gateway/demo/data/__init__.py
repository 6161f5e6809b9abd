"""The data of the demonstration, all invented: accounts, experts, delegations and one conversation.

    data = load_demo()
    data.conversation.photos    # two JPEG pictures, drawn, not taken

Pictures are drawn and documents composed when they are loaded: nothing binary is kept in the repository.
"""

from gateway.demo.data.loader import DemoConversation, DemoData, DemoMessage, load_demo

__all__ = ["DemoConversation", "DemoData", "DemoMessage", "load_demo"]
