"""The benchmark `peers`: what else brings messages from MQTT into a table, under the same load."""
