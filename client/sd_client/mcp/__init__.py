"""Tools with which an assistant draws, by the Model Context Protocol: `python -m sd_client.mcp`.

The server speaks over stdin and stdout, as Claude Desktop and other hosts start it. It needs the
package `mcp`: `pip install './client[mcp]'`.
"""
